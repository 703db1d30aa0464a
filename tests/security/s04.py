"""S4: no page of another place opens a WebSocket, by whatever trick; who has no page comes in where that is allowed."""

from tests.chaos.program import Outcome, Program, Setup
from tests.security.ground import STAGE, TOKEN, Gate, ground, knock

LISTED = "https://onair.example"
NEAR, FAR = "X-Forwarded-For: 192.168.7.7", "X-Forwarded-For: 203.0.113.7"
"""A proxy on this machine says who its client is: of the open network, and from elsewhere."""
IN, OUT = 101, 403


def tricks(gate: Gate) -> list[tuple[str, ...]]:
    """Headers of handshakes that look as if they came from our own page, or from a listed one."""
    own, port = gate.origin(), gate.port
    origins = (
        "https://evil.example", "null", f"http://127.0.0.1.evil.example:{port}", f"http://evil-127.0.0.1:{port}",
        f"http://evil.example/{own}", f"http://evil.example?{own}", f"http://evil.example#{own}", f"http://{gate.own}@evil.example",
        f"{own}@evil.example", f"http://evil@{gate.own}:{port}", f"http://evil.example\\@{gate.own}:{port}",
        f"https://{gate.own}:{port}", f"http://{gate.own}", f"http://{gate.own}:{port + 1}", f"http://{gate.own}:0{port}",
        f"HTTP://{gate.own}:{port}", f"{own}.", f"{own}/", f"{own} ", f"{own}, https://evil.example", f"ws://{gate.own}:{port}",
        f"http://localhost:{port}", f"http://127.1:{port}", f"http://0x7f.0.0.1:{port}", f"http://2130706433:{port}",
        f"http://[::ffff:127.0.0.1]:{port}", f"http://１２７.0.0.1:{port}", f"http://127。0。0。1:{port}",
        "file://", "chrome-extension://abcdef", "https://onair.example.evil.example", "https://evilonair.example",
        "http://onair.example", "https://onair.example:8443", "https://onair.example.", "https://ONAIR.example",
        "https://xn--onir-5na.example", "https://onаir.example", "*", "about:blank", "data:text/html,x", "https://",
    )  # fmt: skip
    found = [(f"Origin: {origin}",) for origin in origins]
    found += [
        (f"Origin: {own}", "Origin: https://evil.example"),
        ("Origin: https://evil.example", f"Origin: {own}"),
        ("Origin: https://evil.example", f"X-Forwarded-Host: {gate.own}:{port}"),
        ("Origin: https://evil.example", f"Referer: {own}/rooms/main", "Sec-Fetch-Site: same-origin"),
        ("Origin: https://evil.example", "Host: evil.example"),
    ]
    return [headers for headers in found if headers[0].rstrip() != f"Origin: {own}" or len(headers) > 1]


async def run(setup: Setup) -> Outcome:
    """Every trick on this machine and from the open network, and who must come in."""
    problems: list[str] = []
    accepted = landed = 0
    environ = {
        "ONAIR_TOKEN": TOKEN,
        "GATEWAY_ORIGINS": LISTED,
        "GATEWAY_OPEN_NETWORKS": "192.168.0.0/16",
    }
    async with ground(setup.folder, setup.sabotage) as here, here.gate(environ) as gate:
        tried = tricks(gate)
        for place in ((), (NEAR,)):
            for headers in tried:
                status = await knock(gate, STAGE, *headers, *place)
                landed += bool(status)
                accepted += status == IN
                problems += [f"{' and '.join(headers)} came in"] if status == IN else []
        rebound = await knock(gate, STAGE, "Origin: http://evil.example", host="evil.example")
        accepted += rebound == IN
        wanted = {
            "our own page": (IN, (f"Origin: {gate.origin()}",)),
            "a listed page": (IN, (f"Origin: {LISTED}",)),
            "no page, here": (IN, ()),
            "no page, of the open network": (IN, (NEAR,)),
            "our own page, of the open network": (IN, (NEAR, f"Origin: {gate.origin()}")),
            "no page, from elsewhere": (OUT, (FAR,)),
            "our own page, from elsewhere": (OUT, (FAR, f"Origin: {gate.origin()}")),
            "no page, from elsewhere, with the token": (IN, (FAR, f"Authorization: Bearer {TOKEN}")),
        }
        for what, (status, headers) in wanted.items():
            if (found := await knock(gate, STAGE, *headers)) != status:
                problems.append(f"{what}: {found}, not {status}")
    figure = f"{len(tried)} tricks, here and from an open network, and a rebound name: {accepted} accepted"
    return Outcome(figure, landed, 2 * len(tried), tuple(problems), {"accepted": accepted, "tricks": len(tried)})


PROGRAM = Program(
    "S4", "a WebSocket is opened by our own page or a listed one: exact scheme, host and port", "forged origins", run,
    ("any_origin",),
)  # fmt: skip
