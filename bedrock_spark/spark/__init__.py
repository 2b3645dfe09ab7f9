"""The stages that run on Spark. They process rows with the DataFrame API only."""
