// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Registry} from "../src/Registry.sol";
import {Vm, vm} from "./Vm.sol";

/// Unit and fuzz tests: one call, or a few, and everything that they may have touched.
contract RegistryTest {
    Registry registry;

    bytes32 constant LEDGER = keccak256("ledger");
    bytes32 constant ONE = keccak256("one");
    bytes32 constant TWO = keccak256("two");

    function setUp() public {
        registry = new Registry();
    }

    // What a verifier computes, written the long way round.
    function slotOf(address sender, bytes32 ledger) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(sender, ledger));
    }

    function expectLogged(address sender, bytes32 ledger, bytes32 root) internal {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        require(logs.length == 1, "want one log");
        require(logs[0].emitter == address(registry), "emitter");
        require(logs[0].topics.length == 3, "want three topics");
        require(logs[0].topics[0] == keccak256("Anchored(address,bytes32,bytes32)"), "topic 0");
        require(logs[0].topics[1] == bytes32(uint256(uint160(sender))), "topic 1");
        require(logs[0].topics[2] == ledger, "topic 2");
        require(logs[0].data.length == 32 && abi.decode(logs[0].data, (bytes32)) == root, "data");
    }

    function testHeadIsZeroAtFirst() public view {
        require(registry.head(address(this), LEDGER) == 0, "want no head");
    }

    function testAnchorsAChainOfRoots() public {
        registry.anchor(LEDGER, 0, ONE);
        registry.anchor(LEDGER, ONE, TWO);
        // A root may come back: the order of roots is a fact, what extends what is checked elsewhere.
        registry.anchor(LEDGER, TWO, ONE);
        require(registry.head(address(this), LEDGER) == ONE, "want the last root");
    }

    function testFirstAnchorNeedsZero() public {
        vm.expectRevert(abi.encodeWithSelector(Registry.HeadIs.selector, bytes32(0)));
        registry.anchor(LEDGER, ONE, TWO);
    }

    function testSecondFirstAnchorIsRefused() public {
        registry.anchor(LEDGER, 0, ONE);
        vm.expectRevert(abi.encodeWithSelector(Registry.HeadIs.selector, ONE));
        registry.anchor(LEDGER, 0, TWO);
    }

    function testZeroRootIsRefusedAlways() public {
        vm.expectRevert(abi.encodeWithSelector(Registry.ZeroRoot.selector));
        registry.anchor(LEDGER, 0, 0);
        registry.anchor(LEDGER, 0, ONE);
        vm.expectRevert(abi.encodeWithSelector(Registry.ZeroRoot.selector));
        registry.anchor(LEDGER, ONE, 0);
    }

    function testTakesNoEther() public {
        (bool ok,) = address(registry).call{value: 1}("");
        require(!ok, "plain ether was taken");
        (ok,) = address(registry).call{value: 1}(abi.encodeCall(Registry.anchor, (LEDGER, 0, ONE)));
        require(!ok, "ether was taken with an anchor");
    }

    function testFuzzUnknownCallIsRefused(bytes4 selector) public {
        vm.assume(selector != Registry.anchor.selector && selector != Registry.head.selector);
        (bool ok,) = address(registry).call(abi.encodeWithSelector(selector, LEDGER, bytes32(0), ONE));
        require(!ok, "a call that does not exist succeeded");
    }

    function testFuzzShortCallIsRefused(uint8 length) public {
        bytes memory whole = abi.encodeCall(Registry.anchor, (LEDGER, 0, ONE));
        bytes memory part = new bytes(length % whole.length);
        for (uint256 i = 0; i < part.length; i++) part[i] = whole[i];
        (bool ok,) = address(registry).call(part);
        require(!ok, "a short call succeeded");
    }

    function testFuzzMovesOneSlotAndLogsOnce(address sender, bytes32 ledger, bytes32 first, bytes32 second) public {
        vm.assume(first != 0 && second != 0 && first != second);
        vm.prank(sender);
        registry.anchor(ledger, 0, first);

        vm.recordLogs();
        vm.record();
        vm.prank(sender);
        registry.anchor(ledger, first, second);

        (bytes32[] memory reads, bytes32[] memory writes) = vm.accesses(address(registry));
        require(writes.length == 1 && writes[0] == slotOf(sender, ledger), "want one write, to the documented slot");
        for (uint256 i = 0; i < reads.length; i++) require(reads[i] == writes[0], "want one slot read");
        require(vm.load(address(registry), slotOf(sender, ledger)) == second, "want the bare root in the slot");
        require(registry.head(sender, ledger) == second, "head");
        expectLogged(sender, ledger, second);
    }

    function testFuzzSameHeadAgainChangesNothing(address sender, bytes32 ledger, bytes32 previous, bytes32 root) public {
        vm.assume(root != 0);
        vm.prank(sender);
        registry.anchor(ledger, 0, root);

        vm.recordLogs();
        vm.record();
        vm.prank(sender);
        registry.anchor(ledger, previous, root);

        (, bytes32[] memory writes) = vm.accesses(address(registry));
        require(writes.length == 0, "want no write");
        require(vm.getRecordedLogs().length == 0, "want no log");
        require(registry.head(sender, ledger) == root, "head");
    }

    function testFuzzStalePreviousIsRefused(bytes32 ledger, bytes32 stored, bytes32 previous, bytes32 root) public {
        vm.assume(stored != 0 && root != 0 && stored != previous && stored != root);
        registry.anchor(ledger, 0, stored);
        vm.expectRevert(abi.encodeWithSelector(Registry.HeadIs.selector, stored));
        registry.anchor(ledger, previous, root);
        require(registry.head(address(this), ledger) == stored, "a refused anchor changed the head");
    }

    function testFuzzOthersCannotMoveAHead(address mine, address other, bytes32 ledger, bytes32 root, bytes32 theirs) public {
        vm.assume(mine != other && root != 0 && theirs != 0);
        vm.prank(mine);
        registry.anchor(ledger, 0, root);
        // With the same ledger id and even the right previous root, a stranger starts at no head of their own.
        if (root != theirs) {
            vm.expectRevert(abi.encodeWithSelector(Registry.HeadIs.selector, bytes32(0)));
            vm.prank(other);
            registry.anchor(ledger, root, theirs);
        }
        vm.prank(other);
        registry.anchor(ledger, 0, theirs);
        require(registry.head(mine, ledger) == root, "a stranger moved the head");
        require(registry.head(other, ledger) == theirs, "a stranger has no head of their own");
    }
}
