"""The check of files: what goes with a message reaches its reader as it was sent, or words say that it couldn't."""

from collections import Counter

from tests.chaos.book import Book, Said, SentFile


def files_arrived(book: Book) -> None:
    """Check that each file whose message reached a person is whole at its reader's, or told in words; none is another's."""
    read = words_read(book)
    for file in book.files.values():
        who = (book.agents.get(file.word) or _of_customer(book, file)).conversation
        if "changed" in file.ends:
            book.finding("file changed", who, f"of {file.word}: {file.details}")
        elif file.word in read and not file.ends & {"whole", "told"}:
            what = file.details or "neither the file nor words for it came"
            book.finding("file lost", who, f"of {file.word}: {what}")
    for who, what in book.strange_files:
        book.finding("file changed", who, what)


def words_read(book: Book) -> set[str]:
    """Return the messages that a person has read: an agent, or a customer."""
    shown = {word for table in book.tables.values() for word in table.shown}
    return shown | {one.text for received in book.received.values() for one in received}


def _of_customer(book: Book, file: SentFile) -> Said:
    return next(words[file.word] for words in book.customers.values() if file.word in words)


def files_in_words(book: Book) -> list[str]:
    """Return the lines of the report about files."""
    read = words_read(book)
    ends = Counter(end for file in book.files.values() for end in file.ends)
    of_agents = sum(file.word in book.agents for file in book.files.values())
    to_bot = [file for file in book.files.values() if file.word not in read]
    followed = Counter(end for file in to_bot for end in file.ends)
    refused = ", ".join(f"{code} {count}" for code, count in Counter(book.refused_files).items())
    reasons = Counter(one for file in book.files.values() for one in file.details if one.startswith("told"))
    whys = "".join(f"; {count} {reason.removeprefix('told: ')}" for reason, count in reasons.items())
    return [
        f"files {len(book.files)} (customers {len(book.files) - of_agents}, agents {of_agents}): fetched whole "
        f"{ends['whole']}, told in words {ends['told']}{whys}",
        f"files with words that no agent and no customer read as they were said {len(to_bot)}; in a transcript "
        f"{followed['whole']}, said to be gone there {followed['gone']}",
        f"files refused aloud {len(book.refused_files)}" + (f" ({refused})" if refused else ""),
    ]
