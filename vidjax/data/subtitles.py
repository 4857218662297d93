"""Writes and reads the segments of one video as subtitles for a player: SubRip (SRT) and WebVTT.

    write_srt, write_vtt, read_subtitles

Times are seconds, in files milliseconds. Segments may overlap. The reader returns them in order of time. It raises a
ValueError, which names the cue, for what cannot be right: an end that is not after its start, a cue without text.
"""

import html
import re
from collections.abc import Iterable
from pathlib import Path

from vidjax.data.segment_files import Segment, in_order, make_segment, ready_to_write, save_text
from vidjax.data.sources.text_files import clean, read_text, split_lines

JOINER = "\u2060"  # invisible: players read `<b>` and `{\an8}` in SRT as formatting, but not with it after the bracket
SRT_FORMATTING, VTT_FORMATTING = re.compile(r"</?[a-zA-Z][^>]*>|\{\\[^}]*\}"), re.compile(r"<[^>]*>")
CUE_TIME = re.compile(r"(?:(\d+):)?(\d+):(\d+)[.,](\d{3})")
CUE_TEXT = re.compile(r"(.+) \((-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\)")  # label (score)


def write_srt(path: Path, segments: Iterable[Segment]):
    """Writes SubRip subtitles, a cue `label (score)` per segment, times in milliseconds.

    SubRip has no escapes: an invisible U+2060 keeps players from reading `<`, `{` and `-->` in labels as commands. Some
    players, such as those of FFmpeg, do not show text in braces; WebVTT shows it.
    """
    cues = []
    for number, segment in enumerate(ready_to_write(path, segments), 1):
        text = re.sub(r"[<{]|--(?=>)", lambda match: match[0] + JOINER, _caption(segment))
        cues.append(f"{number}\n{_cue_times(segment, ',')}\n{text}\n\n")
    save_text(path, "".join(cues))


def write_vtt(path: Path, segments: Iterable[Segment]):
    """Writes WebVTT subtitles, a cue `label (score)` per segment, times in milliseconds.

    Cues are ordered by start, end after they start, and escape `&`, `<` and `>`, see https://www.w3.org/TR/webvtt1.
    """
    cues = [
        f"\n{_cue_times(segment, '.')}\n{html.escape(_caption(segment), quote=False)}\n"
        for segment in ready_to_write(path, segments)
    ]
    save_text(path, "WEBVTT\n" + "".join(cues))


def read_subtitles(path: Path) -> list[Segment]:
    """Reads the cues of an SRT or WebVTT file. The score is 1 unless the text ends with one in parentheses.

    Drops formatting such as `<b>`, and joins the lines of a cue.
    """
    text, found = "\n".join(split_lines(read_text(Path(path)))), []
    is_vtt = text.startswith("WEBVTT")
    for block in re.split(r"\n[ \t]*\n", text):
        head, arrow, rest = block.partition("-->")
        if not arrow:
            continue  # the header of WebVTT, a style or a note
        where = f"{path}, cue {len(found) + 1}"
        (start, end), caption = (head.split("\n")[-1], rest.split("\n")[0]), " ".join(rest.split("\n")[1:])
        if is_vtt:
            caption = clean(html.unescape(VTT_FORMATTING.sub("", caption)))
        else:
            caption = clean(SRT_FORMATTING.sub("", caption).replace(JOINER, ""))
        match = CUE_TEXT.fullmatch(caption)
        found.append(
            make_segment(where, _seconds(where, start), _seconds(where, end), *(match.groups() if match else [caption]))
        )
    return in_order(found)


def _caption(segment: Segment) -> str:
    return f"{segment.label} ({segment.score:.4g})"


def _cue_times(segment: Segment, mark: str) -> str:
    """Returns 00:00:01,500 --> 00:00:02,000 with the mark before milliseconds; the end is at least 1 ms later."""
    start = round(segment.start * 1000)
    return " --> ".join(_clock(time, mark) for time in (start, max(round(segment.end * 1000), start + 1)))


def _clock(milliseconds: int, mark: str) -> str:
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{mark}{rest % 1000:03}"


def _seconds(where: str, text: str) -> float:
    if not (match := CUE_TIME.match(text.strip())):
        raise ValueError(f"{where}: {text!r} is not a time like 00:00:01.500.")
    hours, minutes, seconds, milliseconds = (int(part or 0) for part in match.groups())
    return (3_600_000 * hours + 60_000 * minutes + 1000 * seconds + milliseconds) / 1000
