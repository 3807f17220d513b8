"""Our losses and recipes beside the authors' own code; ``scripts/parity`` runs it."""
