"""Tandem's wire and nothing else: addresses, headers, logins; payloads come back untouched."""
