"""The signing process: keys in files, its socket, and the client that the sites talk to it with."""
