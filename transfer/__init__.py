"""What features are worth. The public interface, listed in __init__.pyi, is imported on use, as it needs torch."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
