package main

import (
	"bytes"
	"strings"
	"testing"
)

func story(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, &out, &errs); code != 0 {
		t.Fatalf("%v: exit status %d: %s%s", args, code, &out, &errs)
	}
	return out.String()
}

func TestTheStoryOfASeedIsAlwaysTheSame(t *testing.T) {
	first := story(t, "-seed", "7", "-trace")
	if first != story(t, "-seed", "7", "-trace") {
		t.Fatal("seed 7 was told in two ways")
	}
	for _, want := range []string{"seed 7\n", "serve in epoch", ">>>", "the end", "every promise was kept"} {
		if !strings.Contains(first, want) {
			t.Errorf("the story has no %q", want)
		}
	}
	if late := story(t, "-seed", "7", "-trace", "-from", "20s"); len(late) >= len(first) || !strings.Contains(late, "the end") {
		t.Errorf("from 20 s on it has %d bytes of %d", len(late), len(first))
	}
}

func TestTheStoryOfASeedAndAThemeIsAlwaysTheSame(t *testing.T) {
	args := []string{"-seed", "7", "-theme", "several doubts", "-trace"}
	first := story(t, args...)
	if first != story(t, args...) {
		t.Fatal("seed 7 was told in two ways")
	}
	if !strings.Contains(first, "theme: several doubts") {
		t.Error("the story does not have the theme")
	}
}

func TestSeveralLivesAreToldOnlyWhenTheyBreakAPromise(t *testing.T) {
	if got := story(t, "-seed", "20", "-lives", "3"); got != "" {
		t.Errorf("%q", got)
	}
}

func TestAWrongArgumentIsRefused(t *testing.T) {
	for _, args := range [][]string{{"-seed", "x"}, {"7"}, {"-theme", "sunshine"}} {
		var out, errs bytes.Buffer
		if code := run(args, &out, &errs); code != 2 || errs.Len() == 0 {
			t.Errorf("%v: exit status %d: %s", args, code, &errs)
		}
	}
}
