"""Asking and telling write the journal once each, and what they write is what an unbatched reader finds."""

from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend, JournalStorage

from search.study import Records, SearchStudy, open_storage
from search.study_journal import BatchingJournal
from tests.integration.test_search_loop import DENSE, SPACE, good, make_loop, run


def test_what_is_written_in_batches_reads_as_if_it_were_not(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    loop = make_loop(path, num_rungs=2)
    run(loop)
    plain = optuna.load_study(study_name="test", storage=JournalStorage(JournalFileBackend(str(path))))
    ours, theirs = loop.study.study.get_trials(), plain.get_trials()
    assert ours == theirs
    assert list(Records(open_storage(path), name="test").measured()) == loop.measured()


def test_an_ask_is_on_disk_before_it_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    loop = make_loop(path)
    job = loop.next_job()
    assert job is not None
    reader = optuna.load_study(study_name="test", storage=JournalStorage(JournalFileBackend(str(path))))
    assert reader.trials[job.number].user_attrs["candidate"] == job.candidate.to_json()
    loop.answer(job, good(job.candidate))
    assert reader.trials[job.number].state.name == "COMPLETE"


def test_a_batch_is_one_write_even_when_it_fails(tmp_path: Path) -> None:
    backend = BatchingJournal(str(tmp_path / "study.journal"))
    study = optuna.create_study(storage=JournalStorage(backend))
    before = sum(1 for _ in backend.read_logs(0))
    try:
        with backend.batch():
            trial = study.ask()
            for number in range(10):
                trial.suggest_float(f"x{number}", 0, 1)
            assert len(study.trials[0].params) == 10
            assert sum(1 for _ in JournalFileBackend(str(tmp_path / "study.journal")).read_logs(0)) == before
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert sum(1 for _ in backend.read_logs(0)) == before + 11
    study.tell(trial, 1.0)
    assert study.trials[0].params == trial.params
    assert optuna.load_study(study_name=study.study_name, storage=JournalStorage(backend)).best_value == 1.0


def test_a_batch_follows_on_what_another_storage_wrote(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    early = SearchStudy(open_storage(path), name="other", space=SPACE, dense=DENSE)
    run(make_loop(path, trials=6))
    for _ in range(3):
        proposal = early.ask(lambda candidate: candidate.key)
        assert proposal is not None
        early.tell(proposal.number, good(proposal.candidate))
    storage = open_storage(path)
    assert [Records(storage, name=name).num_finished() for name in ("test", "other")] == [6, 3]
    assert Records(storage, name="other").study.trials == early.study.trials
