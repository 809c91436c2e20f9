using System.Text;

namespace OrleansRedis.Engine;

/// <summary>The libraries of functions.</summary>
internal sealed partial class ScriptHost
{
    private volatile FunctionSet _functions = new([]);

    /// <summary>The texts that <see cref="_functions"/> was made of; see <see cref="Functions"/>.</summary>
    private IReadOnlyList<byte[]> _codes = [];

    /// <summary>
    /// The libraries. Their texts are kept by <see cref="FunctionLibraries"/>, which files are loaded into; they are run
    /// when someone asks for them.
    /// </summary>
    public FunctionSet Functions
    {
        get
        {
            IReadOnlyList<byte[]> codes = _store.Files?.Functions.Codes ?? [];
            // INFO in a script may ask, while the thread's Lua state is in use.
            bool isCurrent = ReferenceEquals(codes, Volatile.Read(ref _codes)) || (t_thread is { } mine && mine.Host == this && mine.Run.IsRunning);
            return isCurrent ? _functions : Refresh(codes);
        }
    }

    private FunctionSet Refresh(IReadOnlyList<byte[]> codes)
    {
        lock (_threads)
        {
            if (ReferenceEquals(codes, _codes)) return _functions;
            var libraries = new List<FunctionLibrary>();
            foreach (byte[] code in codes)
            {
                if (_functions.Libraries.FirstOrDefault(library => ReferenceEquals(library.Code, code)) is { } known) libraries.Add(known);
                else libraries.Add(Create(code, out string error) ?? Unusable(code, error));
            }
            Replace(new(libraries), codes);
            return _functions;
        }
    }

    /// <summary>A library from a file that cannot be run is kept, for the next file, but has no functions.</summary>
    private FunctionLibrary Unusable(byte[] code, string error)
    {
        Log.Warning($"A library of functions from a file cannot be loaded, and its functions cannot be called: {error}");
        _ = FunctionLibrary.ParseShebang(code, out string name, out int length);
        return new(name, code, Math.Max(0, length), []);
    }

    /// <summary>The function of this name; null if there is none.</summary>
    public LibraryFunction? FindFunction(ReadOnlySpan<byte> name)
    {
        FunctionSet functions = Functions;
        return functions.Count == 0 ? null : functions.Find(name);
    }

    /// <summary>FUNCTION LOAD: the library, or null and the error. Nobody else runs a command meanwhile.</summary>
    public FunctionLibrary? Load(ReadOnlySpan<byte> code, bool replace, out string error)
    {
        FunctionSet functions = Functions;
        if (Load(functions, code, replace, out error) is not { } loaded) return null;
        Keep(loaded.Set);
        return loaded.Library;
    }

    /// <summary>FUNCTION RESTORE: null, or the error.</summary>
    /// <param name="codes">The libraries.</param>
    /// <param name="flush">Whether those there are now go.</param>
    /// <param name="replace">Whether a library may replace one of the same name.</param>
    public string? Restore(IReadOnlyList<byte[]> codes, bool flush, bool replace)
    {
        // Among themselves they must be distinct, whatever they may replace.
        FunctionSet restored = new([]);
        foreach (byte[] code in codes)
        {
            if (Load(restored, code, replace: false, out string error) is not { } loaded) return error;
            restored = loaded.Set;
        }
        if (flush)
        {
            Keep(restored);
            return null;
        }
        FunctionSet functions = Functions;
        foreach (FunctionLibrary library in restored.Libraries)
        {
            if (functions.Libraries.FirstOrDefault(other => other.Name == library.Name) is not { } former) continue;
            if (!replace) return $"Library {library.Name} already exists";
            functions = new([.. functions.Libraries.Where(other => other != former)]);
        }
        foreach (FunctionLibrary library in restored.Libraries)
        {
            foreach (LibraryFunction function in library.Functions)
            {
                if (functions.Find(function.Name) is not null) return $"Function {function.Name} already exists";
            }
        }
        Keep(new([.. functions.Libraries, .. restored.Libraries]));
        return null;
    }

    /// <summary>FUNCTION DELETE; false if there is no such library.</summary>
    public bool Delete(ReadOnlySpan<byte> name)
    {
        string text = Encoding.Latin1.GetString(name);
        FunctionSet functions = Functions;
        if (functions.Libraries.All(library => library.Name != text)) return false;
        Keep(new([.. functions.Libraries.Where(library => library.Name != text)]));
        return true;
    }

    /// <summary>FUNCTION FLUSH</summary>
    public void DeleteAll() => Keep(new([]));

    private (FunctionSet Set, FunctionLibrary Library)? Load(FunctionSet functions, ReadOnlySpan<byte> code, bool replace, out string error)
    {
        if (FunctionLibrary.ParseShebang(code, out string name, out _) is { } wrong)
        {
            error = wrong;
            return null;
        }
        FunctionLibrary? former = functions.Libraries.FirstOrDefault(library => library.Name == name);
        if (former is not null && !replace)
        {
            error = $"Library '{name}' already exists";
            return null;
        }
        if (Create(code.ToArray(), out error) is not { } created) return null;
        FunctionLibrary[] others = [.. functions.Libraries.Where(library => library != former)];
        foreach (LibraryFunction function in created.Functions)
        {
            if (!others.Any(library => library.Functions.Any(other => other.Name.Equals(function.Name, StringComparison.OrdinalIgnoreCase)))) continue;
            error = $"Function {function.Name} already exists";
            return null;
        }
        return (new([.. others, created]), created);
    }

    /// <summary>Runs a library, for its functions; null, with the error, if it is not one.</summary>
    private FunctionLibrary? Create(byte[] code, out string error)
    {
        error = FunctionLibrary.ParseShebang(code, out string name, out int length) ?? "";
        if (error.Length != 0) return null;
        ScriptThread thread = Thread;
        if (thread.Load(code.AsSpan(length), out error) is not { } functions) return null;
        if (thread.Registered.Count == 0)
        {
            error = "No functions registered";
            return null;
        }
        var library = new FunctionLibrary(name, code, length, [.. thread.Registered]);
        bool runsAlone = NamesExclusive(thread.State.Words);
        foreach (LibraryFunction function in library.Functions)
        {
            function.Library = library;
            function.Traits.RunsAlone = runsAlone;
        }
        thread.Keep(library, functions);
        return library;
    }

    private void Keep(FunctionSet functions)
    {
        lock (_threads)
        {
            FunctionLibraries files = _store.Files!.Functions;
            files.Replace([.. functions.Libraries.Select(static library => library.Code)]);
            Replace(functions, files.Codes);
        }
    }

    private void Replace(FunctionSet functions, IReadOnlyList<byte[]> codes)
    {
        foreach (FunctionLibrary library in _functions.Libraries)
        {
            if (!functions.Libraries.Contains(library)) library.IsGone = true;
        }
        _functions = functions;
        Volatile.Write(ref _codes, codes);
        Interlocked.Increment(ref _version);
    }
}

/// <summary>Libraries, and their functions by name, whose case does not matter.</summary>
internal sealed class FunctionSet
{
    private readonly Dictionary<string, LibraryFunction> _byName = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, LibraryFunction>.AlternateLookup<ReadOnlySpan<char>> _lookup;

    public FunctionSet(IReadOnlyList<FunctionLibrary> libraries)
    {
        Libraries = libraries;
        foreach (FunctionLibrary library in libraries)
        {
            foreach (LibraryFunction function in library.Functions) _byName[function.Name] = function;
        }
        _lookup = _byName.GetAlternateLookup<ReadOnlySpan<char>>();
    }

    public IReadOnlyList<FunctionLibrary> Libraries { get; }

    /// <summary>How many functions there are.</summary>
    public int Count => _byName.Count;

    public LibraryFunction? Find(string name) => _byName.GetValueOrDefault(name);

    public LibraryFunction? Find(ReadOnlySpan<byte> name)
    {
        if (name.Length > 256) return Find(Encoding.Latin1.GetString(name));
        Span<char> text = stackalloc char[name.Length];
        Encoding.Latin1.GetChars(name, text);
        return _lookup.TryGetValue(text, out LibraryFunction? function) ? function : null;
    }
}
