"""What the extra `tables` promises: files of text and HDF5 as frames."""

import pathlib

import h5py

import tfmdn

pathlib.Path("table.txt").write_text("a title\n\na;b;c\n1,5;31.12.2024;x\n2;1.2.2025;n.a.\n")
frame = tfmdn.read_table("table.txt", skip_rows=1)
assert frame.a.tolist() == [1.5, 2.0]
assert frame.b.dt.month.tolist() == [12, 2]
assert frame.c.isna().tolist() == [False, True]
with h5py.File("table.h5", "w") as file:
    file["group/a"] = [1.0, 2.0]
assert tfmdn.read_table("table.h5").a.tolist() == [1.0, 2.0]
