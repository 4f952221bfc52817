"""What a recipe shows while it trains: a table that grows, a bar, and messages on lines of their own."""
