"""run_folder."""
