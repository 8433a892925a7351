"""Chat models behind LangChain's BaseChatModel, loaded when first used."""
