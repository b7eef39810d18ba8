// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Registry: the newest anchored root of each ledger, per sender.
/// @notice Anyone may anchor any ledger id; what counts is who sent it. A verifier knows from its policy
/// which sender speaks for a ledger, and looks at that sender's heads alone. Nobody can move, block or
/// front-run another sender's head. There is no owner, no upgrade, no fee and no way to take ether in.
///
/// Storage layout, which offline verifiers compute: one slot per (sender, ledger) and nothing else,
///
///     slot  = keccak256(sender (20 bytes) ‖ ledger (32 bytes))
///     value = the head: the 32-byte root last anchored, or 0 if there is none
///
/// The slot is the hash of 52 bytes, used as it is, with no mapping's slot number hashed in. In the
/// account's storage trie the path is keccak256(slot), as for every slot.
contract Registry {
    /// @notice `sender` moved the head of `ledger` to `root`. Logged exactly once per change of a head.
    event Anchored(address indexed sender, bytes32 indexed ledger, bytes32 root);

    /// @notice The head is neither `previousRoot` nor `root`; it is `head` (0: nothing was anchored yet).
    error HeadIs(bytes32 head);

    /// @notice The root was 0, which stands for "no head".
    error ZeroRoot();

    /// @notice Moves the caller's head of `ledger` from `previousRoot` to `root`, if it is `previousRoot` now.
    /// If it is `root` already the call succeeds, changes nothing and logs nothing, whatever `previousRoot`
    /// says: sending the same anchor twice is harmless.
    /// @param ledger The ledger id.
    /// @param previousRoot The head that the caller believes in; 0 for the first anchor.
    /// @param root The new head, not 0.
    function anchor(bytes32 ledger, bytes32 previousRoot, bytes32 root) external {
        if (root == 0) revert ZeroRoot();
        bytes32 slot = _slot(msg.sender, ledger);
        bytes32 stored;
        assembly ("memory-safe") {
            stored := sload(slot)
        }
        if (stored == root) return;
        if (stored != previousRoot) revert HeadIs(stored);
        assembly ("memory-safe") {
            sstore(slot, root)
        }
        emit Anchored(msg.sender, ledger, root);
    }

    /// @notice The root that `sender` last anchored for `ledger`, or 0.
    function head(address sender, bytes32 ledger) external view returns (bytes32 root) {
        bytes32 slot = _slot(sender, ledger);
        assembly ("memory-safe") {
            root := sload(slot)
        }
    }

    /// @dev keccak256(sender ‖ ledger), 52 bytes laid out in the two scratch words.
    function _slot(address sender, bytes32 ledger) private pure returns (bytes32 slot) {
        assembly ("memory-safe") {
            mstore(0x00, shl(96, sender))
            mstore(0x14, ledger)
            slot := keccak256(0x00, 0x34)
        }
    }
}
