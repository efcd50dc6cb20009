"""Model servers behind one port: `toy` in the process, `openai_compat` over HTTP."""
