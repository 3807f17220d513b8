"""What a trained model leans on, measured on changed copies of held-out pictures."""
