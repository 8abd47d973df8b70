"""The GitHub workflow files of bench/sync, 60 to 150 lines each and the same ones at every run: a first version, a
second one, and what a service did to some of them in between."""

import random

VERBS = """audit backup bench build canary check clean deploy docs fuzz image label lint mirror nightly plan promote
publish release report rollback scan seed sign test""".split()
AREAS = """api assets billing cache catalog console email events gateway identity ingest ledger links metrics orders
pages payments queue reports search stock webhooks""".split()
NAMES = [f"{verb}-{area}.yml" for area in AREAS for verb in VERBS]

HEAD = """# {title}: shared by all services. Change it where it comes from, or say that the edit is yours.
name: {title}
on:
  workflow_dispatch:
    inputs:
      ref:
        description: What of {area} to {verb}
        type: string
        default: ""
  push:
    branches: [main]
permissions: {{}}
concurrency:
  group: {verb}-{area}-${{{{ github.event.pull_request.number || github.sha }}}}
  cancel-in-progress: ${{{{ github.event_name == 'pull_request' }}}}
env:
  CARGO_TERM_COLOR: always
  AREA: {area}
jobs:
"""
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
BUMPED = "actions/checkout@8e8c483db84b4bee98b60c0593521ed34d9990e8 # v7.1.0"
JOB = """  {job}:
    name: {job} of ${{{{ matrix.{key} }}}}
    runs-on: ubuntu-24.04
    timeout-minutes: {minutes}
    permissions:
      contents: read
    strategy:
      fail-fast: false
      matrix:
        {key}: [{values}]
    steps:
      - uses: {checkout}
        with:
          persist-credentials: false
          ref: ${{{{ inputs.ref }}}}
"""
STEPS = ["""      - name: Keep what was built for {word}
        uses: Swatinem/rust-cache@6323deb102c322ba6fcbdcafc7e3dddab59af2b6 # v2.9.2
        with:
          shared-key: {word}-${{{{ matrix.{key} }}}}
          save-if: ${{{{ github.ref == 'refs/heads/main' }}}}
""", """      - name: Run {word}
        run: cargo xtask ci {word} --area "$AREA"
        env:
          TOKEN: ${{{{ secrets.{constant}_TOKEN }}}}
          LIMIT: ${{{{ vars.{constant}_LIMIT || '{number}' }}}}
""", """      - name: Is {word} what it was?
        run: |
          set -euo pipefail
          if [[ -n "$(git status --porcelain -- {word})" ]]; then
            echo "::error::{word} has changed in ${{GITHUB_REPOSITORY}}"
            exit {number}
          fi
""", """      - name: Show what {word} left
        if: ${{{{ !cancelled() && steps.{job}.outcome != 'skipped' }}}}
        uses: actions/upload-artifact@043fb46d1a93c77aae656e7c1c64a875d1fc6a0a # v7.0.1
        with:
          name: {word}-${{{{ matrix.{key} }}}}-${{{{ github.run_attempt }}}}
          path: target/{word}/{number}
          retention-days: {days}
"""]
EDIT = """      - name: Tell our channel
        if: failure()
        run: ./bin/tell "${{ github.workflow }} failed, see ${{ github.run_id }}"
"""


def workflow(name):
    """The first version of a file."""
    dice = random.Random(name)
    verb, area = name.removesuffix(".yml").split("-")
    text, least = HEAD.format(title=f"{verb} {area}".capitalize(), verb=verb, area=area), dice.randint(60, 110)
    while text.count("\n") < least:
        facts = {"job": f"{dice.choice(VERBS)}-{dice.randrange(1000)}",
                 "key": dice.choice(["target", "feature", "region"]),
                 "minutes": dice.randrange(5, 60), "checkout": CHECKOUT, "values": ", ".join(dice.sample(AREAS, 3))}
        text += JOB.format(**facts)
        for step in dice.sample(STEPS, dice.randint(2, 3)):
            word = f"{dice.choice(AREAS)}-{dice.choice(VERBS)}"
            text += step.format(word=word, constant=word.upper().replace("-", "_"), number=dice.randrange(1, 256),
                                days=dice.randrange(1, 90), **facts)
    return text


def changed(text):
    """As the platform changes it: far from the end, where a service adds its step."""
    text = text.replace("  CARGO_TERM_COLOR: always\n", "  CARGO_TERM_COLOR: always\n  CARGO_NET_RETRY: 10\n")
    text = text.replace(CHECKOUT, BUMPED, 1)
    return text.replace("    steps:\n", "    steps:\n      - name: Which machine\n        run: uname -a && nproc\n", 1)


def edited(text):
    return text + EDIT


def versions(count):
    """Name to text of the first version and of the second; the rename; the names that the service edits."""
    old = {name: workflow(name) for name in NAMES[:count]}
    names = random.Random(count).sample(sorted(old), count)
    touched, rest = names[:count // 5], names[count // 5:]
    new = old | {name: changed(old[name]) for name in touched}
    del new[rest[-1]]
    before, after = rest[-2], rest[-2].replace("-", "-all-")
    new[after] = new.pop(before)
    new |= {name: workflow(name) for name in NAMES[count:count + 2]}
    half = max(1, count // 40)
    return old, new, (before, after), touched[:half] + rest[:half]
