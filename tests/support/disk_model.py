"""A POSIX file system that forgets what was not synced, and a recorder that feeds it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent.download.checkpoint import Checkpoint
from agent.store.files import Files, OpenFile

SECTOR = 512


@dataclass(eq=False)
class Node:
    """A file (``data``), a link (``target``) or a folder (``names``), live and as on the disk."""

    data: bytes = b""
    durable_data: bytes = b""
    target: str | None = None
    names: dict[str, Node] | None = None
    durable_names: dict[str, Node] = field(default_factory=dict)


class Disk:
    """What is live, what is durable, and the changes between them."""

    def __init__(self) -> None:
        self.root = Node(names={})
        self.pending: list[tuple[set[int], list[tuple[Node, str, Node | None]]]] = []
        self.notes: dict[str, Checkpoint] = {}
        self.asked: Counter[str] = Counter()
        self.deployed = 0
        """How many deployments the server has made."""

    @classmethod
    def holding(cls, folder: Path) -> Disk:
        """A disk on which all that lies in a real folder is durable."""
        disk = cls()
        disk.root = _taken(folder)
        return disk

    def at(self, *parts: str) -> Node:
        node = self.root
        for part in parts:
            assert node.names is not None
            node = node.names[part]
        return node

    def rename(self, *changes: tuple[Node, str, Node | None]) -> None:
        for folder, name, node in changes:
            _set(folder.names, name, node)
        self.pending.append(({id(folder) for folder, _, _ in changes}, list(changes)))

    def sync_folder(self, folder: Node) -> None:
        """Everything that concerns this folder, and a rename as a whole, becomes durable."""
        for concerned, changes in self.pending:
            if id(folder) in concerned:
                for changed, name, node in changes:
                    _set(changed.durable_names, name, node)
        self.pending = [entry for entry in self.pending if id(folder) not in entry[0]]

    def after_power_cut(self, where: Path, chance: random.Random) -> None:
        """Put one state that may be left into a real folder."""
        share = chance.choice([0.0, 0.5, 0.9, 1.0])
        names: dict[int, dict[str, Node]] = {}
        for _, changes in self.pending:
            if chance.random() < share:
                for folder, name, node in changes:
                    survived = names.setdefault(id(folder), dict(folder.durable_names))
                    _set(survived, name, node)
        _put(self.root, where, names, chance)


def _taken(path: Path) -> Node:
    if path.is_symlink():
        return Node(target=str(path.readlink()))
    if path.is_dir():
        names = {child.name: _taken(child) for child in path.iterdir()}
        return Node(names=names, durable_names=dict(names))
    data = path.read_bytes()
    return Node(data=data, durable_data=data)


def _set(names: dict[str, Node] | None, name: str, node: Node | None) -> None:
    assert names is not None
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


def _put(node: Node, where: Path, names: dict[int, dict[str, Node]], chance: random.Random) -> None:
    if node.target is not None:
        where.symlink_to(node.target)
    elif node.names is None:
        where.write_bytes(_torn(node, chance))
    else:
        where.mkdir()
        for name, child in names.get(id(node), node.durable_names).items():
            _put(child, where / name, names, chance)


def _torn(node: Node, chance: random.Random) -> bytes:
    """Unsynced bytes reach the disk all, not at all, or sector by sector."""
    new, old = node.data, node.durable_data
    kind = chance.choice(["all", "none", "torn"])
    if kind != "torn" or new == old:
        return new if kind == "all" else old
    length = chance.choice([len(old), len(new), max(len(old), chance.randrange(len(new) + 1))])
    torn = b""
    while len(torn) < length:
        source = new if chance.random() < 0.5 else old
        start = len(torn)
        torn += source[start : start + SECTOR].ljust(SECTOR, b"\0")
    return torn[:length]


class Unsynced(Files):
    """Real files without real syncs: what they would do is the model's business."""

    def sync(self, file: OpenFile) -> None:
        pass

    def sync_data(self, file: OpenFile) -> None:
        pass

    def sync_folder(self, path: Path) -> None:
        pass


class Killed(BaseException):
    """SIGKILL: nothing catches it."""


class Steps(list[Callable[[Disk], None]]):
    """What was done so far; after ``kill_after`` renames the process is dead."""

    renames = 0
    kill_after: int | None = None

    def append(self, step: Callable[[Disk], None]) -> None:
        if self.renames == self.kill_after:
            raise Killed
        super().append(step)


class Recorder(Unsynced):
    """Each step is also told to the disk model, as a function that does it there."""

    def __init__(self, root: Path, steps: Steps) -> None:
        self._root = root
        self.steps = steps

    def _parts(self, path: Path) -> tuple[str, ...]:
        return path.relative_to(self._root).parts

    def _add(self, path: Path, make: Callable[[], Node | None]) -> None:
        *folder, name = self._parts(path)
        self.steps.append(lambda disk: disk.rename((disk.at(*folder), name, make())))

    def create(self, path: Path, mode: int = 0o644) -> OpenFile:
        self._add(path, Node)
        return super().create(path, mode)

    def symlink(self, link: Path, target: str) -> None:
        self._add(link, lambda: Node(target=target))
        super().symlink(link, target)

    def make_one_folder(self, path: Path, mode: int) -> None:
        self._add(path, lambda: Node(names={}))
        super().make_one_folder(path, mode)

    def unlink(self, path: Path) -> None:
        self._add(path, lambda: None)
        super().unlink(path)

    def remove_one_folder(self, path: Path) -> None:
        self._add(path, lambda: None)
        super().remove_one_folder(path)

    def rename(self, source: Path, target: Path) -> None:
        *from_folder, old = self._parts(source)
        *to_folder, new = self._parts(target)

        def step(disk: Disk) -> None:
            origin, goal = disk.at(*from_folder), disk.at(*to_folder)
            disk.rename((goal, new, disk.at(*from_folder, old)), (origin, old, None))

        self.steps.append(step)
        super().rename(source, target)
        self.steps.renames += 1

    def write_at(self, file: OpenFile, offset: int, data: bytes) -> None:
        parts, written = self._parts(file.path), bytes(data)

        def step(disk: Disk) -> None:
            node = disk.at(*parts)
            before = node.data.ljust(offset, b"\0")
            node.data = before[:offset] + written + before[offset + len(written) :]

        self.steps.append(step)
        super().write_at(file, offset, data)

    def sync(self, file: OpenFile) -> None:
        self._sync(file)
        super().sync(file)

    def sync_data(self, file: OpenFile) -> None:
        self._sync(file)
        super().sync_data(file)

    def _sync(self, file: OpenFile) -> None:
        parts = self._parts(file.path)

        def step(disk: Disk) -> None:
            node = disk.at(*parts)
            node.durable_data = node.data

        self.steps.append(step)

    def sync_folder(self, path: Path) -> None:
        parts = self._parts(path)
        self.steps.append(lambda disk: disk.sync_folder(disk.at(*parts)))
        super().sync_folder(path)
