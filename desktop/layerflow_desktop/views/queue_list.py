"""The jobs of the queue as a list that can be looked through, reordered and read aloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from PySide6.QtCore import QAbstractListModel, QMimeData, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from layerflow_desktop.models.queue_row import Row

Filter = Literal["all", "mine", "active"]
ROW = Qt.ItemDataRole.UserRole  # the Row itself
_MIME = "application/x-layerflow-job"
_Index = QModelIndex | QPersistentModelIndex
_TOP = QModelIndex()


class QueueModel(QAbstractListModel):
    """What the queue has, the jobs that go on first and then those that are over, the newest first."""

    move_asked = Signal(str, object)  # a job, and the one to put it before; None: last

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._rows: list[Row] = []
        self._filter: Filter = "all"
        self._all: Sequence[Row] = ()

    def show(self, rows: Sequence[Row]) -> None:
        """Takes in the queue as it is now. What is selected stays selected."""
        self._all = rows
        wanted = [row for row in _in_order(rows) if _passes(self._filter, row)]
        self._remove_all_but({row.id for row in wanted})
        self._insert_new(wanted)
        self._put_in_order(wanted)
        self._take_values(wanted)

    def set_filter(self, chosen: Filter) -> None:
        """Shows only those jobs."""
        self._filter = chosen
        self.show(self._all)

    def row_at(self, index: _Index) -> Row | None:
        """The job of a line."""
        return self._rows[index.row()] if index.isValid() and index.row() < len(self._rows) else None

    def rowCount(self, parent: _Index = _TOP) -> int:  # noqa: N802
        return 0 if parent.isValid() else len(self._rows)

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        row = self.row_at(index)
        if row is None:
            return None
        if role == ROW:
            return row
        if role == Qt.ItemDataRole.DisplayRole:
            return row.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{row.title}. {row.what}. {row.status.text}"
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join((row.title, row.what, row.status.text, *row.job.warnings, row.output))
        return None

    def flags(self, index: _Index) -> Qt.ItemFlag:
        row = self.row_at(index)
        if row is None:
            return Qt.ItemFlag.ItemIsDropEnabled
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsDragEnabled if row.can("move") else flags

    def supportedDropActions(self) -> Qt.DropAction:  # noqa: N802
        return Qt.DropAction.CopyAction  # a list view moves lines by itself where it may, and only the engine can

    def mimeTypes(self) -> list[str]:  # noqa: N802
        return [_MIME]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:  # noqa: N802
        data = QMimeData()
        row = self.row_at(indexes[0]) if indexes else None
        data.setData(_MIME, (row.id if row is not None else "").encode())
        return data

    def dropMimeData(  # noqa: N802
        self, data: QMimeData, action: Qt.DropAction, row: int, column: int, parent: _Index
    ) -> bool:
        """Asks for the move and leaves the list as it is: the engine says what became of it."""
        job = bytes(data.data(_MIME).data()).decode()
        if not job:
            return False
        place = row if row >= 0 else parent.row() if parent.isValid() else len(self._rows)
        waiting = [each for each in self._rows[place:] if each.can("move") and each.id != job]
        self.move_asked.emit(job, waiting[0].id if waiting else None)
        return False

    def _remove_all_but(self, ids: set[str]) -> None:
        for at in reversed(range(len(self._rows))):
            if self._rows[at].id not in ids:
                self.beginRemoveRows(_TOP, at, at)
                del self._rows[at]
                self.endRemoveRows()

    def _insert_new(self, wanted: Sequence[Row]) -> None:
        known = {row.id for row in self._rows}
        for at, row in enumerate(wanted):
            if row.id not in known:
                place = min(at, len(self._rows))
                self.beginInsertRows(_TOP, place, place)
                self._rows.insert(place, row)
                self.endInsertRows()

    def _put_in_order(self, wanted: Sequence[Row]) -> None:
        order = {row.id: at for at, row in enumerate(wanted)}
        if [order[row.id] for row in self._rows] == [*range(len(wanted))]:
            return
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        after = [self.index(order[self._rows[index.row()].id]) for index in before]
        self._rows.sort(key=lambda row: order[row.id])
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def _take_values(self, wanted: Sequence[Row]) -> None:
        for at, row in enumerate(wanted):
            if self._rows[at] != row:
                self._rows[at] = row
                self.dataChanged.emit(self.index(at), self.index(at))


def _in_order(rows: Sequence[Row]) -> list[Row]:
    over = [row for row in rows if not row.is_active]
    over.sort(key=lambda row: row.job.finished_at or row.job.created_at or 0.0, reverse=True)
    return (
        [row for row in rows if row.state == "running"]
        + [row for row in rows if row.is_active and row.state != "running"]
        + over
    )


def _passes(chosen: Filter, row: Row) -> bool:
    return chosen == "all" or (row.is_mine if chosen == "mine" else row.is_active)
