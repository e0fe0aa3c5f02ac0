"""Reads what tests printed (TAP) out of Meson's log; used by tools/run-tests and tools/test-of-tests."""
import json
import os
import re

LINE = re.compile(r'^(ok|not ok) \d+ (?:- )?(# SKIP )?(.*?)\s*$')
PLAN = re.compile(r'^1\.\.(\d+)\s*$')


class Report:
    """One executable's run: results maps a test function to 'passed', 'failed' or 'skipped'."""

    def __init__(self, name, output, return_code, ended):
        self.name, self.output = name, output
        self.results = {}
        planned = 0
        for line in output.splitlines():
            plan, found = PLAN.match(line), LINE.match(line)
            if plan:
                planned += int(plan[1])
            elif found:
                verdict = 'skipped' if found[2] else 'passed' if found[1] == 'ok' else 'failed'
                self._add(found[3], verdict)
        if not self.results:
            self._add('(ran no test)', 'failed')
        elif ended or len(self.results) < planned:
            self._add(f'(died after {len(self.results)} of {planned} test functions{": " + ended if ended else ""})', 'failed')
        elif return_code != 0 and 'failed' not in self.results.values():
            self._add(f'(ended with status {return_code} though no test function failed)', 'failed')

    def _add(self, function, verdict):
        name, copy = function, 1
        while name in self.results:
            copy += 1
            name = f'{function} ({copy})'
        self.results[name] = verdict

    def count(self, verdict):
        return sum(1 for v in self.results.values() if v == verdict)


def how_it_ended(run):
    """Why an executable did not come to its end, or ''."""
    if run['result'] == 'TIMEOUT':
        return 'too slow, stopped'
    if run['returncode'] < 0:
        return f'signal {-run["returncode"]}'
    return ''


def read_log(build):
    """Reports of the last `meson test` in a build folder."""
    path = os.path.join(build, 'meson-logs', 'testlog.json')
    if not os.path.exists(path):
        return []
    reports = []
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            run = json.loads(line)
            output = run.get('stdout') or ''
            report = Report(run['name'].split(' / ')[-1], output, run['returncode'], how_it_ended(run))
            report.error_output = run.get('stderr') or ''
            report.suites = run['name'].split(' / ')[0]
            report.seconds = run['duration']
            reports.append(report)
    return reports
