"""How a story ended, compared with how it must end: the same words for every story.

Rule: what happened is read from the parties' answers, never assumed.
"""

from lab.device import Answer, Refusal
from lab.narration import Story
from lab.scene import Scene


def refused(scene: Scene, name: str, told: str, answer: object, *, expected: str) -> None:
    """Tell a story that must end in a refusal with this code."""
    refusal = answer if isinstance(answer, Refusal) else None
    scene.narrator.tell(
        Story(
            name=name,
            told=told,
            expected=f"refused: {expected}",
            happened=said(answer),
            subject=refusal.subject if refusal else "",
            reason=refusal.reason if refusal else "",
            remedy=refusal.remedy if refusal else "",
        )
    )


def ended(scene: Scene, name: str, told: str, *, expected: str, happened: str) -> None:
    """Tell a story that must end otherwise than in a refusal."""
    scene.narrator.tell(Story(name=name, told=told, expected=expected, happened=happened))


def said(answer: object) -> str:
    """What somebody answered, in a word or two."""
    if isinstance(answer, Refusal):
        return f"refused: {answer.code}"
    return f"{len(answer)} bytes of evidence" if isinstance(answer, bytes) else str(answer)


def refusal_of(answer: Answer) -> Refusal | str:
    """The refusal that an agent's command ended in, or else its outcome."""
    return answer.refusal or answer.outcome
