"""Numba's settings: compiled also where nothing can be cached."""

from segxfer3d.augment import compiled


def test_loops_compile_where_no_cache_folder_can_be_written(monkeypatch):
    options = []

    def njit(**given):
        options.append(given)
        if given.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return lambda function: function

    monkeypatch.setattr(compiled.numba, "njit", njit)
    assert compiled.compiled(abs)(-2) == 2
    assert [given.get("cache", False) for given in options] == [True, False]
