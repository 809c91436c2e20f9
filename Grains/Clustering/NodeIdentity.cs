using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using OrleansRedis.Cluster;

namespace OrleansRedis.Grains.Clustering;

/// <summary>
/// Who this silo is: the number of the node, which belongs to the directory, and the number of this life, counted there.
/// The directory is locked as long as this lives, so a node runs one silo at a time, and a higher life is proof that the
/// lower ones are over.
/// </summary>
public sealed class NodeIdentity : IDisposable
{
    private const string LockFile = "silo.lock", NumberFile = "silo";

    private readonly FileStream _lock;

    private NodeIdentity(FileStream locked, SiloId silo)
    {
        _lock = locked;
        Silo = silo;
    }

    /// <summary>This silo.</summary>
    public SiloId Silo { get; }

    /// <summary>Whether a directory has been a silo's of several.</summary>
    public static bool IsIn(string directory) => File.Exists(Path.Combine(directory, NumberFile));

    /// <summary>Takes the directory, and begins another life in it.</summary>
    /// <exception cref="ArgumentException">
    /// Another process has it, or it cannot be used; the message is for the operator.
    /// </exception>
    public static NodeIdentity Take(string directory)
    {
        string path = Path.GetFullPath(directory);
        FileStream locked;
        try
        {
            // Never deleted: two processes could otherwise lock two files of the same name.
            locked = new(Path.Combine(path, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException($"The directory {path} cannot be locked: another silo uses it, or it cannot be written. {e.Message}", e);
        }
        try
        {
            string file = Path.Combine(path, NumberFile);
            SiloId last = IsIn(path) ? Parse(File.ReadAllText(file), file) : new(DrawNode(), 0), silo = last with { Incarnation = last.Incarnation + 1 };
            Write(file, string.Create(CultureInfo.InvariantCulture, $"{silo.Node:x16} {silo.Incarnation}\n"));
            return new(locked, silo);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            locked.Dispose();
            throw new ArgumentException($"The directory {path} cannot be used: {e.Message}", e);
        }
        catch
        {
            locked.Dispose();
            throw;
        }
    }

    public void Dispose() => _lock.Dispose();

    private static long DrawNode()
    {
        Span<byte> bytes = stackalloc byte[8];
        RandomNumberGenerator.Fill(bytes);
        long node = BitConverter.ToInt64(bytes) & long.MaxValue;
        return node == 0 ? 1 : node;
    }

    private static SiloId Parse(string text, string file)
    {
        string[] words = text.Split(' ', StringSplitOptions.TrimEntries);
        if (words.Length == 2 && long.TryParse(words[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out long node) && node != 0
            && int.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out int incarnation)) return new(node, incarnation);
        throw new ArgumentException($"{file} is damaged: it should have the number of the node and of its last life. Put a copy in its place.");
    }

    /// <summary>Replaces a file as a whole, and waits for the disk: a life must not be counted twice.</summary>
    private static void Write(string file, string text)
    {
        string temporary = file + ".new";
        using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write))
        {
            stream.Write(Encoding.ASCII.GetBytes(text));
            stream.Flush(flushToDisk: true);
        }
        File.Move(temporary, file, overwrite: true);
    }
}
