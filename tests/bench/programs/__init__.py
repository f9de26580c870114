"""What the product's interpreter runs for the bench. They are run as files, and import nothing of tests."""
