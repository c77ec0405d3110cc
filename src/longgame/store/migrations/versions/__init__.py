"""One file a version of the schema, oldest first. A version that has been released is never edited."""
