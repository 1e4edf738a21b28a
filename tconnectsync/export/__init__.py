"""Files of what a pump did, for spreadsheets and programs."""
