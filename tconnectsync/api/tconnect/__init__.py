"""The wire of t:connect, the cloud before Tandem Source."""
