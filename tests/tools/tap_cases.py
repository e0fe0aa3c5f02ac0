"""Runs functions named test_* as test functions and prints TAP."""
import traceback


def run(cases):
    """cases: a module's globals().  Returns the exit status."""
    functions = [(name, f) for name, f in cases.items() if name.startswith('test_') and callable(f)]
    failed = 0
    print(f'1..{len(functions)}')
    for number, (name, function) in enumerate(functions, 1):
        try:
            function()
            print(f'ok {number} - {name}')
        except Exception:  # pylint: disable=broad-except  (whatever went wrong is this test's failure)
            failed += 1
            print(f'not ok {number} - {name}')
            print(''.join(f'# {line}\n' for line in traceback.format_exc().splitlines()), end='')
    return 1 if failed else 0
