"""Bytes in, bytes out: certificates, requests, revocation lists, PKCS#12. No I/O and no clock."""
