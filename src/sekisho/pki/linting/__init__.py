"""Every certificate is read once more before a key signs it, against rules that are written down a second time here.

`profile` and `issuance` say what a certificate looks like; these modules say
it again, in other words and from other parts, and share nothing with them
but the names of persons and addresses. A bug on one side is then a finding
and not a certificate.
"""
