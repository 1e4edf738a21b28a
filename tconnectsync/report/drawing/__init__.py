"""The pictures of the report, as shapes and texts that a template writes as SVG."""
