"""Analysis of a finished run: parsing its report, clustering its failures, deciding what broke."""
