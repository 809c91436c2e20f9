using System.IO.Hashing;

namespace OrleansRedis.Engine;

/// <summary>
/// What depends on the present value of a string, as in Redis 8.4: the conditions of SET and DELEX, and the digest by
/// which a client can name a long value without sending it.
/// </summary>
internal static class StringComparisons
{
    /// <summary>The digest is a 64-bit hash, written as hexadecimal digits.</summary>
    private const int DigestLength = 16;

    /// <summary>DIGEST key — the XXH3 hash of the value (https://github.com/Cyan4973/xxHash).</summary>
    [Command("DIGEST", 2, CommandFlags.ReadOnly | CommandFlags.Fast, Category.String, Keys = "RO ACCESS 1", Since = "8.4.0",
        Complexity = "O(N) where N is the length of the string value.",
        Summary = "Returns the XXH3 hash of a string value.",
        Syntax = "key")]
    internal static void Digest(ref CommandContext call)
    {
        if (!call.TryRead(1, ValueType.String, out Entry entry)) return;
        if (entry.IsMissing)
        {
            call.Reply.Null();
            return;
        }
        Span<byte> digest = stackalloc byte[DigestLength];
        WriteDigest(entry, digest);
        call.Reply.BulkString(digest);
    }

    /// <summary>DELEX key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]</summary>
    [Command("DELEX", -2, CommandFlags.Write | CommandFlags.Fast, Category.String, Keys = "RW DELETE VARIABLE_FLAGS 1", Since = "8.4.0",
        Complexity = "O(1) for IFEQ/IFNE, O(N) for IFDEQ/IFDNE where N is the length of the string value.",
        Summary = "Conditionally removes the specified key based on value or digest comparison.",
        Syntax = "key [IFEQ ifeq-value | IFNE ifne-value | IFDEQ ifdeq-digest | IFDNE ifdne-digest]")]
    internal static void Delex(ref CommandContext call)
    {
        if (call.Count is not (2 or 4))
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return;
        }
        Entry entry = call.Write(1);
        bool deletes = !entry.IsMissing;
        if (deletes && call.Count == 4)
        {
            if (entry.Type != ValueType.String)
            {
                call.Reply.Error("ERR Key should be of string type if conditions are specified"u8);
                return;
            }
            if (!TryMatch(call[2], out Comparison comparison))
            {
                call.Reply.Error("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"u8);
                return;
            }
            if (!TryCompare(ref call, entry, comparison, 3, out deletes)) return;
        }
        if (deletes)
        {
            ReadOnlySpan<byte> key = call[1];
            Keyspace keyspace = entry.Keyspace;
            keyspace.Remove(key);
            call.Modified(keyspace, key, KeyEvents.Generic, "del"u8);
            call.Effect(keyspace, "DEL"u8, key);
        }
        call.Reply.Integer(deletes ? 1 : 0);
    }

    /// <summary>Whether a word is IFEQ, IFNE, IFDEQ or IFDNE.</summary>
    public static bool TryMatch(ReadOnlySpan<byte> word, out Comparison comparison)
    {
        comparison = word.Is("IFEQ"u8) ? Comparison.Equal
            : word.Is("IFNE"u8) ? Comparison.NotEqual
            : word.Is("IFDEQ"u8) ? Comparison.DigestEqual
            : word.Is("IFDNE"u8) ? Comparison.DigestNotEqual
            : Comparison.None;
        return comparison != Comparison.None;
    }

    /// <summary>
    /// Compares a string with an argument: its value or, whatever the case of its digits, its digest. If the argument
    /// cannot be a digest, the error is in the reply.
    /// </summary>
    public static bool TryCompare(ref CommandContext call, in Entry entry, Comparison comparison, int argument, out bool holds)
    {
        ReadOnlySpan<byte> with = call[argument];
        if (comparison is Comparison.Equal or Comparison.NotEqual)
        {
            Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
            holds = StringEntry.Read(entry.Found, scratch).SequenceEqual(with) == (comparison == Comparison.Equal);
            return true;
        }
        holds = false;
        // As in Redis, only the length is checked: whatever else is wrong with a digest makes it differ.
        if (with.Length != DigestLength)
        {
            call.Reply.Error("ERR must be exactly 16 hexadecimal characters"u8);
            return false;
        }
        Span<byte> digest = stackalloc byte[DigestLength];
        WriteDigest(entry, digest);
        holds = with.Is(digest) == (comparison == Comparison.DigestEqual);
        return true;
    }

    private static void WriteDigest(in Entry entry, Span<byte> digest)
    {
        Span<byte> scratch = stackalloc byte[StringEntry.ScratchLength];
        ulong hash = XxHash3.HashToUInt64(StringEntry.Read(entry.Found, scratch));
        hash.TryFormat(digest, out _, "x16");
    }

    /// <summary>How the value of a key is compared before it is set or deleted.</summary>
    internal enum Comparison : byte
    {
        None,
        Equal,
        NotEqual,
        DigestEqual,
        DigestNotEqual,
    }
}
