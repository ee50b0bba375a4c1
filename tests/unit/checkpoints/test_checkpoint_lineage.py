"""The license rule."""

import pytest

from polylect.checkpoints import join_licenses


@pytest.mark.parametrize(
    ("licenses", "joined"),
    [
        (["MIT", "MIT"], "MIT"),
        (["MIT", "Apache-2.0", "MIT"], "Apache-2.0 AND MIT"),
        (["MIT", ""], "unknown"),
        (["MIT", "unknown"], "unknown"),
        ([""], "unknown"),
        ([], "unknown"),
        (["Apache-2.0 AND MIT", "MIT"], "Apache-2.0 AND MIT"),
        (["Apache-2.0 AND MIT", "CC-BY-NC-4.0"], "Apache-2.0 AND CC-BY-NC-4.0 AND MIT"),
        (["GPL-2.0-only OR MIT"], "GPL-2.0-only OR MIT"),
        (["GPL-2.0-only OR MIT", "BSD-2-Clause"], "(GPL-2.0-only OR MIT) AND BSD-2-Clause"),
        (["(GPL-2.0-only OR MIT)", "BSD-2-Clause"], "(GPL-2.0-only OR MIT) AND BSD-2-Clause"),
        (["(A OR B) AND (C OR D)", "E"], "((A OR B) AND (C OR D)) AND E"),
    ],
)
def test_licenses_are_joined_and_never_guessed(licenses, joined):
    assert join_licenses(licenses) == joined
    assert join_licenses(reversed(licenses)) == joined
