"""What the sites share: endpoints, problems, sessions, the client certificate, words."""
