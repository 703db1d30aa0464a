"""What the gateway does on the bus: `desk` for clients, `panel` reads for the console, `hands` acts for its operators."""
