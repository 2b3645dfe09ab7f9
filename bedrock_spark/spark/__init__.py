"""The stages that run on Spark. Only the DataFrame API is used."""
