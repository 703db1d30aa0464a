"""A folder for the import path: in it `daily` is a stand-in."""
