// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Registry} from "../src/Registry.sol";
import {Vm, vm} from "./Vm.sol";

/// Sends honest, stale, repeated and zero anchors in any order from a few senders for a few ledgers and keeps
/// its own account of what the heads must be. Few senders, ledgers and roots, so that they meet often.
contract Handler {
    Registry public immutable registry;

    mapping(address => mapping(bytes32 => bytes32)) public want;
    mapping(address => mapping(bytes32 => bytes32)) public lastLogged;
    uint256 public changes;
    uint256 public logs;

    uint256 public constant SENDERS = 3;
    uint256 public constant LEDGERS = 3;

    constructor(Registry r) {
        registry = r;
    }

    function senderAt(uint256 i) public pure returns (address) {
        return address(uint160(0xca14 + i % SENDERS));
    }

    function ledgerAt(uint256 i) public pure returns (bytes32) {
        return keccak256(abi.encode("ledger", i % LEDGERS));
    }

    // 0 is one of them on purpose.
    function rootAt(uint256 i) internal pure returns (bytes32) {
        return i % 5 == 0 ? bytes32(0) : keccak256(abi.encode("root", i % 5));
    }

    function honest(uint256 s, uint256 l, uint256 root) external {
        send(senderAt(s), ledgerAt(l), want[senderAt(s)][ledgerAt(l)], rootAt(root));
    }

    function any(uint256 s, uint256 l, uint256 previous, uint256 root) external {
        send(senderAt(s), ledgerAt(l), rootAt(previous), rootAt(root));
    }

    function again(uint256 s, uint256 l, uint256 previous) external {
        send(senderAt(s), ledgerAt(l), rootAt(previous), want[senderAt(s)][ledgerAt(l)]);
    }

    function send(address sender, bytes32 ledger, bytes32 previous, bytes32 root) private {
        bytes32 stored = want[sender][ledger];
        bool mayPass = root != 0 && (stored == root || stored == previous);
        vm.recordLogs();
        vm.prank(sender);
        (bool ok, bytes memory reason) = address(registry).call(abi.encodeCall(Registry.anchor, (ledger, previous, root)));
        require(ok == mayPass, "accepted and refused are not told apart by the head alone");
        if (!ok) {
            bytes memory wantReason = root == 0
                ? abi.encodeWithSelector(Registry.ZeroRoot.selector)
                : abi.encodeWithSelector(Registry.HeadIs.selector, stored);
            require(keccak256(reason) == keccak256(wantReason), "reason of a refusal");
        } else if (stored != root) {
            want[sender][ledger] = root;
            changes++;
        }
        Vm.Log[] memory seen = vm.getRecordedLogs();
        for (uint256 i = 0; i < seen.length; i++) {
            logs++;
            address who = address(uint160(uint256(seen[i].topics[1])));
            lastLogged[who][seen[i].topics[2]] = abi.decode(seen[i].data, (bytes32));
        }
    }
}

contract RegistryInvariantTest {
    Registry registry;
    Handler handler;

    function setUp() public {
        registry = new Registry();
        handler = new Handler(registry);
    }

    /// Forge calls the handler alone: the registry is only ever called through it.
    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// Every head, its slot and the last event about it agree with the account kept outside.
    function invariantHeadsAreWhatWasAccepted() public view {
        for (uint256 s = 0; s < handler.SENDERS(); s++) {
            for (uint256 l = 0; l < handler.LEDGERS(); l++) {
                address sender = handler.senderAt(s);
                bytes32 ledger = handler.ledgerAt(l);
                bytes32 want = handler.want(sender, ledger);
                require(registry.head(sender, ledger) == want, "head");
                require(vm.load(address(registry), keccak256(abi.encodePacked(sender, ledger))) == want, "slot");
                require(handler.lastLogged(sender, ledger) == want, "event");
            }
        }
    }

    /// The events are the history: one for each change, none for anything else.
    function invariantOneEventPerChange() public view {
        require(handler.logs() == handler.changes(), "events and changes differ in number");
    }

    function invariantHoldsNoEther() public view {
        require(address(registry).balance == 0, "ether got in");
    }
}
