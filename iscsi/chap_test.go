package iscsi

import (
	"encoding/hex"
	"strconv"
	"testing"
)

func TestCHAPResponsesVerify(t *testing.T) {
	secret, challenge := []byte("iscsi1pass123456"), []byte("0123456789abcdef")
	for _, a := range CHAPAlgorithms {
		r := a.Response(7, secret, challenge)
		if len(r) != a.Size {
			t.Errorf("%s: %d bytes", a.Name, len(r))
		}
		if !a.Verify(r, 7, secret, challenge) {
			t.Errorf("%s: the right response is refused", a.Name)
		}
		if a.Verify(r, 8, secret, challenge) || a.Verify(r, 7, []byte("x"), challenge) ||
			a.Verify(r, 7, secret, []byte("x")) || a.Verify(nil, 7, secret, challenge) || a.Verify(r[:4], 7, secret, challenge) {
			t.Errorf("%s: a wrong response is accepted", a.Name)
		}
	}
}

// Computed with: printf '\1secretchallenge' | md5sum (and so on).
func TestCHAPResponsesAreTheHashOfIdentifierSecretAndChallenge(t *testing.T) {
	want := map[int]string{
		5: "46e47770030e2b4e26a0db72a7efec00",
		6: "011f25d29fe1baaced569c0d7e4878e40ddb7d7e",
		7: "2dfa0526f4764864b7c3c5bc6596bcead3d8dbd984f4fc1d9f330299f0beced4",
		8: "9444877c4dff778ed2add0f102dcd561e11944e7e948ee1b89508451a9e680ad",
	}
	for _, a := range CHAPAlgorithms {
		if got := hex.EncodeToString(a.Response(1, []byte("secret"), []byte("challenge"))); got != want[a.ID] {
			t.Errorf("%s: %s", a.Name, got)
		}
	}
}

func TestTheStrongestKnownAlgorithmOfTheListIsChosen(t *testing.T) {
	for list, want := range map[string]int{
		"5": 5, "7,5": 7, "5,7": 7, "99,5,8": 8, "5,6": 6, "6,5,5": 6, "0x5": 5, "5,8,7,6": 8, CHAPOffer(): 8,
	} {
		if a, err := ChooseCHAP(list); err != nil || a.ID != want {
			t.Errorf("%s: %d, %v", list, a.ID, err)
		}
	}
	for _, list := range []string{"", "99", "MD5", "5 ", "-5", "5,", "8,x"} {
		if a, err := ChooseCHAP(list); err == nil {
			t.Errorf("%q: %s", list, a.Name)
		}
	}
}

func TestATargetAnswersWithOneAlgorithm(t *testing.T) {
	for _, a := range CHAPAlgorithms {
		if got, err := ParseCHAPAlgorithm(strconv.Itoa(a.ID)); err != nil || got.ID != a.ID {
			t.Errorf("%d: %d, %v", a.ID, got.ID, err)
		}
	}
	for _, s := range []string{"", "5,7", "8,", "9"} {
		if a, err := ParseCHAPAlgorithm(s); err == nil {
			t.Errorf("%q: %s", s, a.Name)
		}
	}
}

func TestAReflectedChallengeIsRecognised(t *testing.T) {
	if !Reflected([]byte("abc"), []byte("abc")) || Reflected([]byte("abc"), []byte("abd")) {
		t.Error("wrong answer")
	}
}
