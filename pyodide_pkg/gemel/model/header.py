"""A file's header without its model: version, metadata, tensor table, and the memory that the model would need."""

from __future__ import annotations

from ..core.checks import text
from ..core.closing import Closing
from ..core.cpu import pick_threads
from ..core.library import Handle, Library, texts_at
from ..core.public import public
from .gguf import Metadata, read_tensors
from .kv import KvType
from .memory import Plan, plan_of
from .overrides import CHAT_TEMPLATE, Overrides, check_overrides, forget, give


@public
class Gguf(Closing):
    """A file's header, as gemel.inspect returns it. A context manager; closing frees the header.

    Attributes:
        name: of the file
        size: bytes of the file
        version: of the format
        data_offset: bytes before the tensors' data
        metadata: the key-value pairs, a mapping
        tensors: the tensor table, a list
    """

    def __init__(self, library: Library, owner: Handle, gguf: int, size: int, name: str) -> None:
        self._library = library
        self._owner = owner
        self.name = name
        self.size = size
        self.version: int = library.call("gemel_gguf_version", gguf)
        self.data_offset = int(library.call("gemel_gguf_data_offset", gguf))
        self.metadata = Metadata(library, owner, gguf)
        self.tensors = read_tensors(library, gguf)

    def plan(
        self, *, n_ctx: int, threads: int = 1, kv_type: KvType | None = None, overrides: Overrides | None = None
    ) -> Plan:
        """Return the memory that this model and a session of n_ctx positions need. Raises what open() would."""
        given, n_threads = check_overrides(overrides), pick_threads(threads)
        with self._owner as loader:
            try:
                give(self._library, loader, self.metadata, given, self.name)
                return plan_of(self._library, loader, self.name, n_ctx=n_ctx, threads=n_threads, kv_type=kv_type)
            finally:
                forget(self._library, loader)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Model.warnings of this file. () also where its vocabulary is malformed or not supported."""
        with self._owner as loader:
            return texts_at(self._library, "gemel_loader_warning", loader)

    def dialects(self, template: str | None = None) -> tuple[str, str]:
        """Return how the model calls tools and marks its reasoning, as Model.info has them; "": not at all.

        template: a chat template that replaces the file's.
        """
        from ..dialect.rows import names_of

        given = None if template is None else text("template", template)
        found = self.metadata.get(f"{CHAT_TEMPLATE}.tool_use") or given or self.metadata.get(CHAT_TEMPLATE)
        return names_of(found if isinstance(found, str) else None)

    def close(self) -> None:
        """Free the header; afterwards `metadata` can't be read."""
        self._owner.close()

    def __repr__(self) -> str:
        keys = "closed" if self._owner.closed else f"{len(self.metadata)} keys"
        counts = f"{keys}, {len(self.tensors)} tensors"
        return f"<gemel.Gguf {self.name!r}: version {self.version}, {counts}>"
