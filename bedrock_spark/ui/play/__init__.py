"""What the playground's page needs: its models, its requests, and answers as lines of JSON."""
