"""The customers' sites: the public pages and the pages behind the certificate."""
