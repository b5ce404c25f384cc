"""Tables and SQL: one module of functions for each noun, each taking the open transaction first."""
