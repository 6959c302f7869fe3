"""Archives of pages -> documents: WARC, WET, HTML, MediaWiki."""
