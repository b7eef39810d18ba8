// Code generated via abigen V2 - DO NOT EDIT.
// This file is a generated binding and any manual changes will be lost.

//lint:file-ignore ST1005 the wording is abigen's

package contracts

import (
	"bytes"
	"errors"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Reference imports to suppress errors if they are not otherwise used.
var (
	_ = bytes.Equal
	_ = errors.New
	_ = big.NewInt
	_ = common.Big1
	_ = types.BloomLookup
	_ = abi.ConvertType
)

// RegistryMetaData contains all meta data concerning the Registry contract.
var RegistryMetaData = bind.MetaData{
	ABI: "[{\"type\":\"function\",\"name\":\"anchor\",\"inputs\":[{\"name\":\"ledger\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"previousRoot\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"},{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"head\",\"inputs\":[{\"name\":\"sender\",\"type\":\"address\",\"internalType\":\"address\"},{\"name\":\"ledger\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"outputs\":[{\"name\":\"root\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}],\"stateMutability\":\"view\"},{\"type\":\"event\",\"name\":\"Anchored\",\"inputs\":[{\"name\":\"sender\",\"type\":\"address\",\"indexed\":true,\"internalType\":\"address\"},{\"name\":\"ledger\",\"type\":\"bytes32\",\"indexed\":true,\"internalType\":\"bytes32\"},{\"name\":\"root\",\"type\":\"bytes32\",\"indexed\":false,\"internalType\":\"bytes32\"}],\"anonymous\":false},{\"type\":\"error\",\"name\":\"HeadIs\",\"inputs\":[{\"name\":\"head\",\"type\":\"bytes32\",\"internalType\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"ZeroRoot\",\"inputs\":[]}]",
	ID:  "Registry",
	Bin: "0x6080604052348015600e575f5ffd5b506101cc8061001c5f395ff3fe608060405234801561000f575f5ffd5b5060043610610034575f3560e01c806324e8393d146100385780636ed37a1d14610070575b5f5ffd5b61005e610046366004610161565b60609190911b5f908152601491909152603490205490565b60405190815260200160405180910390f35b61008361007e3660046101a3565b610085565b005b5f8190036100bf576040517fb263ae7300000000000000000000000000000000000000000000000000000000815260040160405180910390fd5b3360601b5f90815260148490526034902080548281036100e0575050505050565b838114610120576040517f7394802c0000000000000000000000000000000000000000000000000000000081526004810182905260240160405180910390fd5b828255604051838152859033907fb1d5c7988740a31dc57f1b85a7d7c1c10f2009388bc0ee67ef142b5386ea44479060200160405180910390a35050505050565b5f5f60408385031215610172575f5ffd5b823573ffffffffffffffffffffffffffffffffffffffff81168114610195575f5ffd5b946020939093013593505050565b5f5f5f606084860312156101b5575f5ffd5b50508135936020830135935060409092013591905056",
}

// Registry is an auto generated Go binding around an Ethereum contract.
type Registry struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *Registry) GetABI() abi.ABI {
	return c.abi
}

// NewRegistry creates a new instance of Registry.
func NewRegistry() *Registry {
	parsed, err := RegistryMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &Registry{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *Registry) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackAnchor is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6ed37a1d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function anchor(bytes32 ledger, bytes32 previousRoot, bytes32 root) returns()
func (registry *Registry) PackAnchor(ledger [32]byte, previousRoot [32]byte, root [32]byte) []byte {
	enc, err := registry.abi.Pack("anchor", ledger, previousRoot, root)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAnchor is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6ed37a1d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function anchor(bytes32 ledger, bytes32 previousRoot, bytes32 root) returns()
func (registry *Registry) TryPackAnchor(ledger [32]byte, previousRoot [32]byte, root [32]byte) ([]byte, error) {
	return registry.abi.Pack("anchor", ledger, previousRoot, root)
}

// PackHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x24e8393d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function head(address sender, bytes32 ledger) view returns(bytes32 root)
func (registry *Registry) PackHead(sender common.Address, ledger [32]byte) []byte {
	enc, err := registry.abi.Pack("head", sender, ledger)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackHead is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x24e8393d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function head(address sender, bytes32 ledger) view returns(bytes32 root)
func (registry *Registry) TryPackHead(sender common.Address, ledger [32]byte) ([]byte, error) {
	return registry.abi.Pack("head", sender, ledger)
}

// UnpackHead is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x24e8393d.
//
// Solidity: function head(address sender, bytes32 ledger) view returns(bytes32 root)
func (registry *Registry) UnpackHead(data []byte) ([32]byte, error) {
	out, err := registry.abi.Unpack("head", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// RegistryAnchored represents a Anchored event raised by the Registry contract.
type RegistryAnchored struct {
	Sender common.Address
	Ledger [32]byte
	Root   [32]byte
	Raw    *types.Log // Blockchain specific contextual infos
}

const RegistryAnchoredEventName = "Anchored"

// ContractEventName returns the user-defined event name.
func (RegistryAnchored) ContractEventName() string {
	return RegistryAnchoredEventName
}

// UnpackAnchoredEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Anchored(address indexed sender, bytes32 indexed ledger, bytes32 root)
func (registry *Registry) UnpackAnchoredEvent(log *types.Log) (*RegistryAnchored, error) {
	event := "Anchored"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != registry.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(RegistryAnchored)
	if len(log.Data) > 0 {
		if err := registry.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range registry.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (registry *Registry) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], registry.abi.Errors["HeadIs"].ID.Bytes()[:4]) {
		return registry.UnpackHeadIsError(raw[4:])
	}
	if bytes.Equal(raw[:4], registry.abi.Errors["ZeroRoot"].ID.Bytes()[:4]) {
		return registry.UnpackZeroRootError(raw[4:])
	}
	return nil, errors.New("Unknown error")
}

// RegistryHeadIs represents a HeadIs error raised by the Registry contract.
type RegistryHeadIs struct {
	Head [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error HeadIs(bytes32 head)
func RegistryHeadIsErrorID() common.Hash {
	return common.HexToHash("0x7394802cd709c45eaa5833daa13d3ed8b072b559268a2c3be89ce8dafb25ccdb")
}

// UnpackHeadIsError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error HeadIs(bytes32 head)
func (registry *Registry) UnpackHeadIsError(raw []byte) (*RegistryHeadIs, error) {
	out := new(RegistryHeadIs)
	if err := registry.abi.UnpackIntoInterface(out, "HeadIs", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// RegistryZeroRoot represents a ZeroRoot error raised by the Registry contract.
type RegistryZeroRoot struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ZeroRoot()
func RegistryZeroRootErrorID() common.Hash {
	return common.HexToHash("0xb263ae738e814ca9af6ee56bb85daa47624e790421913c947dcba2aac07cfdbd")
}

// UnpackZeroRootError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ZeroRoot()
func (registry *Registry) UnpackZeroRootError(raw []byte) (*RegistryZeroRoot, error) {
	out := new(RegistryZeroRoot)
	if err := registry.abi.UnpackIntoInterface(out, "ZeroRoot", raw); err != nil {
		return nil, err
	}
	return out, nil
}
