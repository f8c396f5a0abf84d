"""The device: journal, store, downloader, inference worker, daemon, command line."""
