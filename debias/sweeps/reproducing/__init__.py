"""What ``debias reproduce`` tells about a published table: its price, verdicts and results."""
