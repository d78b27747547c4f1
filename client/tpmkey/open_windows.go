package tpmkey

import (
	"errors"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/windowstpm"
	"github.com/google/go-tpm/tpmutil/tbs"
)

// commandBlocked is TPM_E_COMMAND_BLOCKED: the system's policy lets a user have the TPM, and
// not all of its commands.
const commandBlocked tbs.Error = 0x80280400

// open asks TPM Base Services, which lend the TPM by turns.
func open(path string) (transport.TPMCloser, error) {
	if path != "" {
		return nil, errors.New("Windows knows its TPM by itself: name none")
	}
	tpm, err := windowstpm.Open()
	if err != nil { // with which there may be a TPM as well
		return nil, err
	}
	return tpm, nil
}

func busy(err error) bool {
	return errors.Is(err, tbs.ErrServiceStartPending) || errors.Is(err, tbs.ErrTooManyTBSContexts) || errors.Is(err, tbs.ErrTooManyResources)
}

func forbidden(err error) bool {
	return errors.Is(err, tbs.ErrAccessDenied) || errors.Is(err, commandBlocked)
}
