"""What the router predicts with: how good a model's answer will be, how long it takes, whether it will do."""
