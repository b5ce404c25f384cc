"""Enrollment over Secure Transport: RFC 7030, as clarified by RFC 8951."""
